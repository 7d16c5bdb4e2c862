"""Parts of the MercadoPago stand-in; `sandbox/vendors/mercadopago.py` puts them together."""
