"""Judgement for hire: what a text is about, how sure we are, and which passages answer it.

Everything here runs offline on one CPU core and keeps no state between calls; thresholds, storage and what to do
with a judgement belong to the desk. Built files live under `asoe/_built` and are made by `python -m asoe.ai.build`.
"""
