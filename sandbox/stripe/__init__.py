"""The parts of the Stripe stand-in; `sandbox.vendors.stripe` puts them together."""
