"""The demo organization Tidepool: its text, how it is seeded, and how its tickets are played."""
