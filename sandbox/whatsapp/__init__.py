"""The parts of the WhatsApp stand-in; `sandbox/vendors/whatsapp.py` puts them together."""
