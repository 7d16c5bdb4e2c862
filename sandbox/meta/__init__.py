"""What every stand-in of a Meta product shares: Graph errors, versions, tokens, signatures."""
