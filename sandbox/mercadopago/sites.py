"""Countries: currency, documents, payment methods and installments of each site, as the vendor lists them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sandbox.store import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One country; an account belongs to one."""

    id: str
    country_id: str
    currency_id: str
    decimals: int
    domain: str  # "www.mercadopago.com.br": shown in no address, the stand-in has its own
    documents: tuple[tuple[str, str, int, int], ...]  # (id, name, least digits, most digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One payment method of a site; amounts are texts of decimal numbers."""

    id: str
    name: str
    kind: str  # the vendor's payment_type_id
    least: str
    most: str
    bins: tuple[str, ...] = ()
    issuer_id: str = ""
    security_code: int = 3
    card_digits: int = 16
    installments: tuple[int, ...] = (1,)
    status: str = "active"
    needs: tuple[str, ...] = ()

    @property
    def is_card(self) -> bool:
        """Say whether a card token is needed."""
        return self.kind in ("credit_card", "debit_card", "prepaid_card")


SITES = {
    site.id: site
    for site in (
        Site(
            id="MLB", country_id="BR", currency_id="BRL", decimals=2, domain="www.mercadopago.com.br",
            documents=(("CPF", "CPF", 11, 11), ("CNPJ", "CNPJ", 14, 14)),
        ),
        Site(
            id="MLA", country_id="AR", currency_id="ARS", decimals=2, domain="www.mercadopago.com.ar",
            documents=(
                ("DNI", "DNI", 7, 8), ("CI", "Cédula", 1, 9), ("LC", "L.C.", 6, 7), ("LE", "L.E.", 6, 7),
                ("CUIL", "CUIL", 11, 11), ("CUIT", "CUIT", 11, 11), ("Otro", "Otro", 5, 20),
            ),
        ),
        Site(
            id="MLM", country_id="MX", currency_id="MXN", decimals=2, domain="www.mercadopago.com.mx", documents=(),
        ),
    )
}  # fmt: skip

# Interest in percent of the amount by number of installments; one row for every card of every site.
RATES = {1: "0", 2: "4.12", 3: "6.18", 4: "8.24", 5: "10.3", 6: "12.36", 7: "14.42", 8: "16.48", 9: "18.54",
         10: "20.6", 11: "22.66", 12: "24.72", 18: "37.08"}  # fmt: skip
TWELVE = tuple(range(1, 13))
CARD_NEEDS = ("cardholder_name", "cardholder_identification_type", "cardholder_identification_number")
TICKET_NEEDS = ("identification_type", "identification_number", "first_name", "last_name")
# The least part of an installment: the vendor offers no smaller ones.
LEAST_PART = Decimal(5)

METHODS: dict[str, tuple[Method, ...]] = {
    "MLB": (
        Method(id="pix", name="PIX", kind="bank_transfer", least="0.01", most="9999999"),
        Method(id="visa", name="Visa", kind="credit_card", least="0.5", most="60000", bins=("4235", "4111", "4509"),
               issuer_id="25", installments=TWELVE, needs=CARD_NEEDS),
        Method(id="master", name="Mastercard", kind="credit_card", least="0.5", most="60000",
               bins=("5031", "5474", "5555"), issuer_id="24", installments=TWELVE, needs=CARD_NEEDS),
        Method(id="elo", name="Elo", kind="credit_card", least="0.5", most="60000", bins=("5067", "6362"),
               issuer_id="1021", installments=(1, 2, 3, 4, 5, 6), needs=CARD_NEEDS),
        Method(id="amex", name="American Express", kind="credit_card", least="0.5", most="60000", bins=("3753", "3782"),
               issuer_id="310", security_code=4, card_digits=15, installments=TWELVE, needs=CARD_NEEDS),
        Method(id="debelo", name="Elo Débito", kind="debit_card", least="0.5", most="60000", bins=("5067",),
               issuer_id="1021", needs=CARD_NEEDS),
        Method(id="debvisa", name="Visa Débito", kind="debit_card", least="0.5", most="50000", bins=("4001",),
               issuer_id="25", status="testing", needs=CARD_NEEDS),
        Method(id="bolbradesco", name="Boleto", kind="ticket", least="4", most="100000", needs=TICKET_NEEDS),
        Method(id="pec", name="Pagamento na lotérica sem boleto", kind="ticket", least="4", most="2000",
               needs=TICKET_NEEDS),
        Method(id="account_money", name="Dinheiro na minha conta do Mercado Pago", kind="account_money", least="0.01",
               most="10000000"),
    ),
    "MLA": (
        Method(id="visa", name="Visa", kind="credit_card", least="3", most="9000000", bins=("4509", "4111"),
               issuer_id="310", installments=(1, 3, 6, 9, 12, 18), needs=CARD_NEEDS),
        Method(id="master", name="Mastercard", kind="credit_card", least="3", most="9000000", bins=("5031", "5555"),
               issuer_id="692", installments=(1, 3, 6, 12), needs=CARD_NEEDS),
        Method(id="debvisa", name="Visa Débito", kind="debit_card", least="3", most="9000000", bins=("4002",),
               issuer_id="310", needs=CARD_NEEDS),
        Method(id="rapipago", name="Rapipago", kind="ticket", least="300", most="250000", needs=TICKET_NEEDS),
        Method(id="account_money", name="Dinero en cuenta", kind="account_money", least="1", most="10000000"),
    ),
    "MLM": (
        Method(id="visa", name="Visa", kind="credit_card", least="5", most="100000", bins=("4075", "4111"),
               issuer_id="166", installments=(1, 3, 6, 9, 12), needs=("cardholder_name",)),
        Method(id="master", name="Mastercard", kind="credit_card", least="5", most="100000", bins=("5474", "5555"),
               issuer_id="158", installments=(1, 3, 6), needs=("cardholder_name",)),
        Method(id="debvisa", name="Visa Débito", kind="debit_card", least="5", most="100000", bins=("4178",),
               issuer_id="166", needs=("cardholder_name",)),
        Method(id="oxxo", name="OXXO", kind="ticket", least="5", most="10000"),
        Method(id="account_money", name="Dinero en cuenta", kind="account_money", least="1", most="1000000"),
    ),
}  # fmt: skip


def method_of(site_id: str, method_id: object) -> Method | None:
    """Return the method with this id in the country, or None."""
    return next((method for method in METHODS[site_id] if method.id == method_id), None)


def methods_of_bin(site_id: str, digits: str) -> list[Method]:
    """Return the card methods whose numbers start like this, credit first."""
    return [method for method in METHODS[site_id] if any(digits.startswith(start) for start in method.bins)]


def payer_costs(method: Method, amount: Decimal) -> list[Document]:
    """Return the installments the vendor offers for an amount, with their cost."""
    offered = [count for count in method.installments if count == 1 or amount / count >= LEAST_PART]
    return [_payer_cost(count, amount, method) for count in offered]


def total_with_interest(count: int, amount: Decimal) -> Decimal:
    """Return what the buyer pays in all."""
    return _cents(amount * (1 + Decimal(RATES[count]) / 100))


def method_document(method: Method, domain: str) -> Document:
    """Return one entry of /v1/payment_methods."""
    logo = f"https://{domain}/sandbox/logos/{method.id}.gif"
    card: list[Document] = []
    if method.is_card:
        card = [{
            "card_number": {"validation": "standard", "length": method.card_digits},
            "bin": {"pattern": f"^({'|'.join(method.bins)})", "installments_pattern": f"^({'|'.join(method.bins)})",
                    "exclusion_pattern": None},
            "security_code": {"length": method.security_code, "mode": "mandatory",
                              "card_location": "front" if method.id == "amex" else "back"},
        }]  # fmt: skip
    return {
        "id": method.id, "name": method.name, "payment_type_id": method.kind, "status": method.status,
        "secure_thumbnail": logo, "thumbnail": logo,
        "deferred_capture": "supported" if method.kind == "credit_card" else "unsupported",
        "settings": card, "additional_info_needed": list(method.needs),
        "min_allowed_amount": float(method.least), "max_allowed_amount": float(method.most),
        "accreditation_time": 4320 if method.kind == "ticket" else 0, "financial_institutions": [],
        "processing_modes": ["aggregator"],
    }  # fmt: skip


def _payer_cost(count: int, amount: Decimal, method: Method) -> Document:
    total = total_with_interest(count, amount)
    part = _cents(total / count)
    word = "parcela" if count == 1 else "parcelas"
    return {
        "installments": count, "installment_rate": float(RATES[count]), "discount_rate": 0, "labels": [],
        "installment_rate_collector": ["MERCADOPAGO"],
        "min_allowed_amount": float(method.least) if count == 1 else float(LEAST_PART * count),
        "max_allowed_amount": float(method.most), "recommended_message": f"{count} {word} de {part} ({total})",
        "installment_amount": float(part), "total_amount": float(total),
    }  # fmt: skip


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
