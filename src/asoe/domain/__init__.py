"""The pure floor: values and rules. No I/O, no clock, no randomness; standard library only."""
