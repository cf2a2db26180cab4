"""The public telecom world (tau2-bench, telecom, no user) played through the product: see evals/telecom/README.md."""
