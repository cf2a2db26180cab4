-- when: before deploy
-- Tags are the one thing people wrote in what a pass went by: they go when a client is erased.

grant update (basis) on asoe.orchestrator_runs to asoe_app;
