"""Lists of the Pix API: a window of time, filters, pages counted from zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.wrappers import Request

from sandbox.fields import FieldProblem, Rule
from sandbox.pix.documents import cnpj, cpf
from sandbox.pix.problems import problem
from sandbox.pix.state import moment, stamp
from sandbox.store import Document

PAGE, LONGEST_PAGE = 100, 1000
CURRENT, SIZE = "paginacao.paginaAtual", "paginacao.itensPorPagina"
# a filter says whether an object passes, given the text of the query
Filter = Callable[[Document, str], bool]
DOCUMENTS: dict[str, Rule] = {"cpf": cpf, "cnpj": cnpj}


def page(
    request: Request, rows: Sequence[tuple[float, Document]], *, name: str, refusal: str, filters: Mapping[str, Filter]
) -> Document:
    """
    Return one page of the objects whose time lies in the window, oldest first.

    :raises Refused: the window is absent or turned round, a filter is unknown, a page does not exist
    """
    query = request.args
    _check_names(query, filters, refusal=refusal)
    since, until = (_time(query, side, refusal=refusal) for side in ("inicio", "fim"))
    if until < since:
        raise problem(refusal, "O timestamp fim é anterior ao timestamp inicio.", field="fim")
    chosen = [
        row for at, row in rows
        if since <= at <= until and all(passes(row, query[key]) for key, passes in filters.items() if key in query)
    ]  # fmt: skip
    number = _whole(query, CURRENT, 0, least=0, most=10**6, refusal=refusal)
    size = _whole(query, SIZE, PAGE, least=1, most=LONGEST_PAGE, refusal=refusal)
    paging = {
        "paginaAtual": number, "itensPorPagina": size, "quantidadeDePaginas": max(1, -(-len(chosen) // size)),
        "quantidadeTotalDeItens": len(chosen),
    }  # fmt: skip
    window = {"inicio": stamp(since), "fim": stamp(until), "paginacao": paging}
    return {"parametros": window, name: chosen[number * size : (number + 1) * size]}


def is_true(text: str) -> bool:
    """Return the flag of a query."""
    return text == "true"


def _check_names(query: Mapping[str, str], filters: Mapping[str, Filter], *, refusal: str) -> None:
    if unknown := set(query) - {"inicio", "fim", CURRENT, SIZE, *filters}:
        raise problem(refusal, "Parâmetro desconhecido.", field=min(unknown))
    given = [key for key in DOCUMENTS if key in query]
    if len(given) == len(DOCUMENTS):
        raise problem(refusal, "Os parâmetros cpf e cnpj são mutuamente exclusivos.", field="cpf")
    for key in given:
        try:
            DOCUMENTS[key](query[key], key)
        except FieldProblem as error:
            raise problem(refusal, "O documento é inválido.", field=key) from error


def _time(query: Mapping[str, str], name: str, *, refusal: str) -> float:
    try:
        return moment(query[name])
    except (KeyError, ValueError) as error:
        raise problem(refusal, f"O parâmetro {name} não respeita a RFC 3339.", field=name) from error


def _whole(query: Mapping[str, str], name: str, default: int, *, least: int, most: int, refusal: str) -> int:
    text: Any = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or not least <= int(text[:9]) <= most:
        raise problem(refusal, f"O parâmetro {name} está fora dos limites.", field=name)
    return int(text)
