"""Incidents: many tickets, one cause. Signs lead to one, tickets join it, a round tells, mends and checks; people have the last word."""
