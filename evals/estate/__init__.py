"""Cases for the demo estate and their score, read from the estate's own store; shares no code with the product."""
