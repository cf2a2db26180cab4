"""Runbooks: their language, their linter, the interpreter that says what is to be done next, and who carries it out."""
