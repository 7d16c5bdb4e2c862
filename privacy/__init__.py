"""LGPD: register, subject requests, retention, incidents. Rooms of a later issue; the floor stands."""
