"""What the desk does, one file per stage; `journey` is the conductor and alone knows the order."""
