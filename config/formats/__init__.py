"""How dates are written, short enough for tables; everything else is Django's."""
