"""Refusals of the Pix API: RFC 7807 bodies with the central bank's types and the violated fields."""

from __future__ import annotations

import re

from werkzeug.wrappers import Response

from sandbox.fields import FieldProblem
from sandbox.frame import Refused
from sandbox.store import Document

TYPE_URI = "https://pix.bcb.gov.br/api/v2/error/"
# (status, title); Source: bacen/pix-api, section of errors
PROBLEMS: dict[str, tuple[int, str]] = {
    "RequisicaoInvalida": (400, "Requisição inválida."),
    "AcessoNegado": (403, "Acesso negado."),
    "NaoEncontrado": (404, "Não encontrado."),
    "LimiteDeTaxaExcedido": (429, "Limite de requisições excedido."),
    "ErroInternoDoServidor": (500, "Erro interno do servidor."),
    "ServicoIndisponivel": (503, "Serviço indisponível."),
    "CobNaoEncontrado": (404, "Cobrança não encontrada."),
    "CobOperacaoInvalida": (400, "Cobrança inválida."),
    "CobConsultaInvalida": (400, "Consulta de cobranças inválida."),
    "CobVNaoEncontrada": (404, "Cobrança não encontrada."),
    "CobVOperacaoInvalida": (400, "Cobrança inválida."),
    "CobVConsultaInvalida": (400, "Consulta de cobranças inválida."),
    "PixNaoEncontrado": (404, "Pix não encontrado."),
    "PixConsultaInvalida": (400, "Consulta de Pix inválida."),
    "PixDevolucaoInvalida": (400, "Devolução inválida."),
    "PixDevolucaoNaoEncontrada": (404, "Devolução não encontrada."),
    "WebhookNaoEncontrado": (404, "Webhook não encontrado."),
    "WebhookOperacaoInvalida": (400, "Webhook inválido."),
    "WebhookConsultaInvalida": (400, "Consulta de webhooks inválida."),
    "PayloadLocationNaoEncontrado": (404, "Location não encontrada."),
    "PayloadLocationOperacaoInvalida": (400, "Location inválida."),
    "PayloadLocationConsultaInvalida": (400, "Consulta de locations inválida."),
}


class Problem(Refused):
    """A refusal as application/problem+json."""

    def response(self) -> Response:
        """Return it with its own content type."""
        response = super().response()
        response.mimetype = "application/problem+json"
        return response


def problem(kind: str, detail: str = "", *, field: str = "", status: int | None = None) -> Problem:
    """Return a refusal; with `field`, `detail` is the reason of its one violation. :raises KeyError: no such kind."""
    usual, title = PROBLEMS[kind]
    body: Document = {"type": TYPE_URI + kind, "title": title, "status": status or usual, "detail": detail or title}
    if field:
        body["violacoes"] = [{"razao": detail, "propriedade": field}]
    return Problem(body["status"], body)


def wrong_field(kind: str, found: FieldProblem, *, root: str) -> Problem:
    """Return the refusal of a field that a rule found wrong; `root` is cob, cobv and the like."""
    path = ".".join([root, *re.findall(r"\w+", found.path)])
    return problem(kind, f"O campo {path} não respeita o schema.", field=path)
