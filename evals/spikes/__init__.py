"""Spikes of tickets: how soon they are seen at one false alarm a week."""
