"""The only room that speaks SQL about the domain: one X.py beside one X.sql per noun, the pool, the migrations, the embedded PostgreSQL."""
