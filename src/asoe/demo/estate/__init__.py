"""The demo estate: the back office of a made-up SaaS company, as a real HTTP service with its own store.

It knows nothing of the engine that mends it and imports nothing of it. `docs/demo-estate.md` is its handbook.
"""
