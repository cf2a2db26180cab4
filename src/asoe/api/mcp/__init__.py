"""ASOE as an MCP server at /mcp: the same desk, permissions and limits as the API, for programs that speak MCP.

`door` proves and admits, `tools` says what there is, `exchange` runs a call and records it, `reading` has resources and prompts.
"""
