"""The outside world, outbound: one file per system, all behind `contract.Connector`."""
