"""Measurements of the whole desk against labelled tickets; nothing here runs in production."""
