"""The command line: one file per noun, `main` puts them together. Decodes, calls the desk, prints."""
