"""Customers, products and prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.store import Document
from sandbox.stripe import params
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import Events
from sandbox.stripe.form import merge_metadata
from sandbox.stripe.methods import Methods, check_tax_id
from sandbox.stripe.operations import Operation, delete, get, lists, post
from sandbox.stripe.state import Scope, State, list_page, new_id

PLAIN = (
    "address", "balance", "business_name", "description", "email", "individual_name", "invoice_prefix", "name",
    "next_invoice_sequence", "phone", "preferred_locales", "shipping", "tax_exempt",
)  # fmt: skip
OF_PRICE = ("active", "currency", "product", "type")


class Catalog:
    """The operations on customers, products and prices."""

    def __init__(self, state: State, *, events: Events, methods: Methods) -> None:
        self._state = state
        self._events = events
        self._methods = methods

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        who: dict[str, Any] = {"right": "customers", "kind": "customer"}
        product: dict[str, Any] = {"right": "products", "kind": "product"}
        price: dict[str, Any] = {"right": "products", "kind": "price"}
        return (
            post("/v1/customers", self._create, params=params.CUSTOMER_CREATE, **who),
            lists("/v1/customers", self._list, params=params.CUSTOMER_LIST, **who),
            get("/v1/customers/{key}", self._show, **who),
            post("/v1/customers/{key}", self._update, params=params.CUSTOMER_UPDATE, **who),
            delete("/v1/customers/{key}", self._delete, **who),
            lists("/v1/products", self._products, params=params.PRODUCT_LIST, **product),
            get("/v1/products/{key}", self._product, **product),
            lists("/v1/prices", self._prices, params=params.PRICE_LIST, **price),
            get("/v1/prices/{key}", self._price, **price),
        )

    def add_price(
        self, scope: Scope, *, key: str | None = None, name: str, amount: int, currency: str, recurring: Document | None
    ) -> Document:
        """Write a product and its price, under this id or a new one."""
        now, price_key = self._state.now(), key or new_id("price")
        product: Document = {
            "id": price_key.replace("price_", "prod_"), "object": "product", "active": True, "created": now,
            "default_price": price_key, "description": None, "images": [], "marketing_features": [], "metadata": {},
            "name": name, "package_dimensions": None, "shippable": None, "statement_descriptor": None,
            "tax_code": None, "tax_details": None, "type": "service", "unit_label": None, "updated": now, "url": None,
        }  # fmt: skip
        self._state.add(scope, product)
        return self.add_bare_price(
            scope, key=price_key, product=product["id"], amount=amount, currency=currency, recurring=recurring
        )

    def add_bare_price(
        self, scope: Scope, *, key: str, product: str, amount: int, currency: str, recurring: Document | None
    ) -> Document:
        """Write a price of a product that exists."""
        if recurring is not None:
            base: Document = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
            recurring = base | recurring
        price: Document = {
            "id": key, "object": "price", "active": True, "billing_scheme": "per_unit", "created": self._state.now(),
            "currency": currency, "custom_unit_amount": None, "lookup_key": None, "metadata": {}, "nickname": None,
            "product": product, "recurring": recurring, "tax_behavior": "unspecified", "tiers_mode": None,
            "transform_quantity": None, "type": "recurring" if recurring else "one_time", "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        }  # fmt: skip
        return self._state.add(scope, price)

    def new_customer(self, scope: Scope, email: str | None) -> Document:
        """Write the customer whom a hosted page meets."""
        return self._new(scope, {"email": email} if email else {})

    def _create(self, caller: Caller, values: Document) -> Document:
        return self._new(caller.scope, values)

    def _new(self, scope: Scope, values: Document) -> Document:
        key = new_id("cus")
        customer: Document = {
            "id": key, "object": "customer", "address": None, "balance": 0, "created": self._state.now(),
            "currency": None, "customer_account": None, "default_source": None, "delinquent": False,
            "description": None, "discount": None, "email": None, "invoice_prefix": key[-8:].upper(),
            "invoice_settings": {
                "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
            },
            "metadata": {}, "name": None, "next_invoice_sequence": 1, "phone": None, "preferred_locales": [],
            "shipping": None, "tax_exempt": "none", "test_clock": None,
        }  # fmt: skip
        for place, tax_id in enumerate(values.get("tax_id_data") or []):
            check_tax_id(tax_id["value"], kind=tax_id["type"], param=f"tax_id_data[{place}][value]")
        customer = self._state.add(scope, self._changed(scope, customer, values))
        if "payment_method" in values:
            method = self._methods.take(scope, values["payment_method"])
            self._methods.attach(scope, method, key)
        self._events.emit(scope, "customer.created", customer)
        return customer

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        customer = self._state.need(caller.scope, "customer", key)
        return {"id": key, "object": "customer", "deleted": True} if customer.get("_deleted") else customer

    def _list(self, caller: Caller, values: Document) -> Document:
        email = values.get("email")
        return list_page(
            self._state, caller.scope, "customer", values, url="/v1/customers",
            keep=lambda row: not row.get("_deleted") and email in (None, row["email"]),
        )  # fmt: skip

    def _update(self, caller: Caller, values: Document, key: str) -> Document:
        old = self._alive(caller.scope, key)
        new = self._state.put(self._changed(caller.scope, dict(old), values))
        previous = {name: old[name] for name in old if old[name] != new[name]}
        if previous:
            self._events.emit(caller.scope, "customer.updated", new, previous=previous)
        return new

    def _delete(self, caller: Caller, values: Document, key: str) -> Document:
        customer = self._alive(caller.scope, key)
        self._state.put(customer | {"_deleted": True})
        self._events.emit(caller.scope, "customer.deleted", customer)
        return {"id": key, "object": "customer", "deleted": True}

    def _alive(self, scope: Scope, key: str) -> Document:
        customer = self._state.need(scope, "customer", key)
        if customer.get("_deleted"):
            raise invalid(f"No such customer: '{key}'", code="resource_missing", param="id", status=404)
        return customer

    def _changed(self, scope: Scope, customer: Document, values: Document) -> Document:
        customer |= {name: values[name] for name in PLAIN if name in values}
        if "metadata" in values:
            customer["metadata"] = merge_metadata(customer["metadata"], values["metadata"])
        settings = dict(values.get("invoice_settings") or {})
        if settings.get("default_payment_method"):
            method = self._methods.take(
                scope, settings["default_payment_method"], param="invoice_settings[default_payment_method]"
            )
            settings["default_payment_method"] = self._methods.attach(scope, method, customer["id"])["id"]
        customer["invoice_settings"] = customer["invoice_settings"] | settings
        return customer

    def _products(self, caller: Caller, values: Document) -> Document:
        ids, active = values.get("ids"), values.get("active")
        return list_page(
            self._state, caller.scope, "product", values, url="/v1/products",
            keep=lambda row: (not ids or row["id"] in ids) and active in (None, row["active"]),
        )  # fmt: skip

    def _product(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "product", key)

    def _prices(self, caller: Caller, values: Document) -> Document:
        wanted = {name: values[name] for name in OF_PRICE if name in values}
        interval = (values.get("recurring") or {}).get("interval")
        return list_page(
            self._state, caller.scope, "price", values, url="/v1/prices",
            keep=lambda row: all(row[name] == value for name, value in wanted.items())
            and (interval is None or (row["recurring"] or {}).get("interval") == interval)
            and not values.get("lookup_keys"),
        )  # fmt: skip

    def _price(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "price", key)
