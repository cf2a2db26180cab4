"""The dashboard, a door: server-rendered pages over the desk. One page is one module, its templates, and an entry in `site.py`."""
