"""The page on which a payer gives a card to the vendor's script (docs/decisions/0015)."""
