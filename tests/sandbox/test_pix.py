"""The bank: tokens, charges to the letter, payments, returns, lists, callbacks, client certificates."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from billing.brcode import parse
from tests.sandbox.conftest import Receiver, Sandbox, free_port, start
from tests.sandbox.pix import Business, around_now, kind_of, new_txid


@pytest.fixture
def shop(sandbox: Sandbox) -> Business:
    return Business.number(sandbox, 0)


@pytest.fixture
def other(sandbox: Sandbox) -> Business:
    return Business.number(sandbox, 1)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    return json.loads(receiver.next()[2])["pix"]


class TestToken:
    def test_is_given_for_basic_and_for_the_form(self, shop: Business) -> None:
        form = {"client_id": shop.account["id"], "client_secret": shop.account["secret"]}

        basic = shop.authorize(scope="cob.read cob.write")
        body, elsewhere = (
            shop.raw("POST", path, data={"grant_type": "client_credentials"} | form)
            for path in ("/oauth/token", "/auth/realms/bank/token")
        )

        assert basic.json()["scope"] == "cob.read cob.write"
        assert (basic.json()["token_type"], basic.json()["expires_in"]) == ("Bearer", 3600)
        assert "webhook.write" in body.json()["scope"]
        assert elsewhere.ok

    @pytest.mark.parametrize(
        ("form", "status", "error"),
        [
            ({"grant_type": "password"}, 400, "unsupported_grant_type"), ({"scope": "rec.read"}, 400, "invalid_scope"),
            ({"novelty": "1"}, 400, "invalid_request"),
        ],
    )  # fmt: skip
    def test_is_refused_as_oauth_does(self, shop: Business, form: dict[str, str], status: int, error: str) -> None:
        answer = shop.authorize(**form)

        assert (answer.status_code, answer.json()["error"]) == (status, error)

    def test_is_refused_for_a_wrong_secret(self, shop: Business) -> None:
        shop.account["secret"] = "another-test-secret"

        answer = shop.authorize()

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

    def test_opens_only_its_scopes_and_its_hour(self, shop: Business) -> None:
        token = shop.authorize(scope="cob.read").json()["access_token"]
        shop.sandbox.control("POST", "/pix/settings", {"token_lifetime_s": 0})
        dead = shop.authorize().json()["access_token"]

        narrow = shop.raw("POST", "/cob", headers={"Authorization": f"Bearer {token}"}, json={})
        late = shop.raw("GET", "/cob", headers={"Authorization": f"Bearer {dead}"}, params=around_now())

        assert kind_of(narrow) == (403, "AcessoNegado")
        assert kind_of(late) == (401, "AcessoNegado")
        assert kind_of(shop.raw("GET", "/cob")) == (401, "AcessoNegado")


class TestCharge:
    def test_has_a_dynamic_code_that_the_product_reads(self, shop: Business) -> None:
        charge = shop.charge(devedor={"cpf": "52998224725", "nome": "Ana"}, solicitacaoPagador="Pedido 58")

        code = parse(charge["pixCopiaECola"])
        assert (code.is_dynamic, code.url, code.amount_minor) == (True, charge["loc"]["location"], 5880)
        assert (charge["status"], charge["revisao"], charge["calendario"]["expiracao"]) == ("ATIVA", 0, 86_400)
        assert shop.call("GET", f"/cob/{charge['txid']}").json() == charge
        for prefix in ("/api/v2", "/v2", "/pix/v2", "/pix_recebimentos/v2"):
            assert shop.call("GET", f"{prefix}/cob/{charge['txid']}").json() == charge

    def test_is_made_once_for_a_txid(self, shop: Business) -> None:
        txid, body = new_txid(), {"valor": {"original": "58.80"}, "chave": shop.key}

        first, again = (shop.call("PUT", f"/cob/{txid}", body) for _ in range(2))
        changed = shop.call("PUT", f"/cob/{txid}", body | {"valor": {"original": "5.88"}})

        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json() == again.json()
        assert kind_of(changed) == (400, "CobOperacaoInvalida")

    def test_gets_a_txid_from_the_bank_by_post(self, shop: Business) -> None:
        charge = shop.call("POST", "/cob", {"valor": {"original": "1.00"}, "chave": shop.key}).json()

        assert 26 <= len(charge["txid"]) <= 35

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"valor": {"original": "58.8"}}, "cob.valor.original"),
            ({"valor": {"original": 58.8}}, "cob.valor.original"),
            ({"valor": {"original": "0.00"}}, "cob.valor.original"), ({"chave": "somebody@example.com"}, "cob.chave"),
            ({"devedor": {"cpf": "52998224724", "nome": "Ana"}}, "cob.devedor.cpf"),
            ({"devedor": {"cnpj": "12ABC34501DE36", "nome": "Ana"}}, "cob.devedor.cnpj"),
            ({"devedor": {"cpf": "52998224725"}}, "cob.devedor.nome"), ({"devedor": {"nome": "Ana"}}, "cob.devedor"),
            ({"calendario": {"expiracao": 0}}, "cob.calendario.expiracao"),
            ({"calendario": {"expiracao": 1.5}}, "cob.calendario.expiracao"), ({"novelty": 1}, "cob.novelty"),
            ({"solicitacaoPagador": "x" * 141}, "cob.solicitacaoPagador"), ({"loc": {"id": 999}}, "cob.loc.id"),
        ],
    )  # fmt: skip
    def test_names_the_violated_field(self, shop: Business, change: dict[str, Any], field: str) -> None:
        body = {"valor": {"original": "58.80"}, "chave": shop.key} | change

        answer = shop.call("PUT", f"/cob/{new_txid()}", body)

        assert kind_of(answer) == (400, "CobOperacaoInvalida")
        assert [entry["propriedade"] for entry in answer.json()["violacoes"]] == [field]

    @pytest.mark.parametrize("txid", ["short", "x" * 36, "a" * 25 + "-1"])
    def test_refuses_other_txids(self, shop: Business, txid: str) -> None:
        answer = shop.call("PUT", f"/cob/{txid}", {"valor": {"original": "58.80"}, "chave": shop.key})

        assert answer.json()["violacoes"][0]["propriedade"] == "cob.txid"

    def test_changes_and_ends_only_while_active(self, shop: Business) -> None:
        path = f"/cob/{shop.charge()['txid']}"

        changed = shop.call("PATCH", path, {"valor": {"original": "60.00"}}).json()
        removed = shop.call("PATCH", path, {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}).json()

        assert (changed["revisao"], parse(changed["pixCopiaECola"]).amount_minor) == (1, 6000)
        assert removed["status"] == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
        assert kind_of(shop.call("PATCH", path, {"valor": {"original": "1.00"}})) == (400, "CobOperacaoInvalida")

    def test_is_nobody_elses(self, shop: Business, other: Business) -> None:
        txid = shop.charge()["txid"]

        assert kind_of(other.call("GET", f"/cob/{txid}")) == (404, "CobNaoEncontrado")
        assert kind_of(other.call("PATCH", f"/cob/{txid}", {})) == (404, "CobNaoEncontrado")
        assert other.call("GET", "/cob", **around_now()).json()["cobs"] == []

    def test_with_a_due_day_needs_a_payer_and_a_future(self, shop: Business) -> None:
        day = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
        body = {
            "valor": {"original": "58.80", "multa": {"modalidade": 2, "valorPerc": "2.00"}}, "chave": shop.key,
            "calendario": {"dataDeVencimento": day}, "devedor": {"cnpj": "12ABC34501DE35", "nome": "Ana Ltda"},
        }  # fmt: skip
        txid = new_txid()

        made = shop.call("PUT", f"/cobv/{txid}", body)
        without = shop.call("PUT", f"/cobv/{new_txid()}", {**body, "devedor": None})
        past = shop.call("PUT", f"/cobv/{new_txid()}", body | {"calendario": {"dataDeVencimento": "2020-01-31"}})

        assert (made.status_code, made.json()["calendario"]["validadeAposVencimento"]) == (201, 30)
        assert shop.call("GET", f"/cobv/{txid}").json()["recebedor"]["nome"] == "PADARIA AURORA"
        assert kind_of(shop.call("GET", f"/cob/{txid}")) == (404, "CobNaoEncontrado")
        assert kind_of(without) == kind_of(past) == (400, "CobVOperacaoInvalida")

    def test_takes_a_location_made_before_and_only_once(self, shop: Business) -> None:
        location = shop.call("POST", "/loc", {"tipoCob": "cob"}).json()

        charge = shop.charge(loc={"id": location["id"]})
        body = {"valor": {"original": "1.00"}, "chave": shop.key, "loc": {"id": location["id"]}}

        assert charge["location"] == location["location"]
        assert shop.call("GET", f"/loc/{location['id']}").json()["txid"] == charge["txid"]
        assert kind_of(shop.call("PUT", f"/cob/{new_txid()}", body)) == (400, "CobOperacaoInvalida")
        assert "txid" not in shop.call("DELETE", f"/loc/{location['id']}/txid").json()


class TestList:
    def test_pages_through_the_window(self, shop: Business) -> None:
        made = [shop.charge()["txid"] for _ in range(3)]
        size = {"paginacao.itensPorPagina": 2}

        first, second = (
            shop.call("GET", "/cob", **around_now(), **size, **{"paginacao.paginaAtual": number}).json()
            for number in (0, 1)
        )

        assert [charge["txid"] for charge in first["cobs"] + second["cobs"]] == made
        assert first["parametros"]["paginacao"] == {
            "paginaAtual": 0, "itensPorPagina": 2, "quantidadeDePaginas": 2, "quantidadeTotalDeItens": 3,
        }  # fmt: skip

    def test_filters(self, shop: Business) -> None:
        paid, waiting = shop.charge(), shop.charge(devedor={"cpf": "52998224725", "nome": "Ana"})
        shop.pay(paid["txid"])

        done = shop.call("GET", "/cob", **around_now(), status="CONCLUIDA").json()["cobs"]
        hers = shop.call("GET", "/cob", **around_now(), cpf="52998224725").json()["cobs"]
        received = shop.call("GET", "/pix", **around_now(), txid=paid["txid"]).json()["pix"]

        assert [charge["txid"] for charge in done] == [paid["txid"]]
        assert [charge["txid"] for charge in hers] == [waiting["txid"]]
        assert [entry["valor"] for entry in received] == ["58.80"]

    @pytest.mark.parametrize(
        "query",
        [
            {"inicio": "2026-11-23"}, {"fim": "2020-01-01T00:00:00Z"}, {"novelty": "1"}, {"cpf": "1"},
            {"cpf": "52998224725", "cnpj": "11222333000181"}, {"paginacao.itensPorPagina": "1001"},
            {"paginacao.paginaAtual": "-1"},
        ],
    )  # fmt: skip
    def test_refuses_wrong_questions(self, shop: Business, query: dict[str, str]) -> None:
        assert kind_of(shop.call("GET", "/cob", **around_now() | query)) == (400, "CobConsultaInvalida")

    def test_needs_a_window(self, shop: Business) -> None:
        assert kind_of(shop.call("GET", "/pix")) == (400, "PixConsultaInvalida")


class TestPayment:
    def test_ends_the_charge_and_is_told(self, shop: Business, receiver: Receiver) -> None:
        shop.listen(receiver.url)
        charge = shop.charge()

        paid = shop.pay(charge["txid"], info="obrigada")["pix"][0]
        path, _, body = receiver.next()

        assert path == "/hook/pix"
        assert json.loads(body) == {"pix": [paid]}
        assert len(paid["endToEndId"]) == 32
        assert shop.call("GET", f"/pix/{paid['endToEndId']}").json() == paid
        now = shop.call("GET", f"/cob/{charge['txid']}").json()
        assert (now["status"], now["pix"]) == ("CONCLUIDA", [paid])

    def test_may_be_wrong_doubled_hidden_and_late(self, shop: Business, receiver: Receiver) -> None:
        shop.sandbox.control("POST", "/pix/settings", {"append_pix": False})
        shop.listen(receiver.url)
        wrong, double, hidden = (shop.charge()["txid"] for _ in range(3))

        shop.pay(wrong, valor="58.79", repeat=2)
        calls = [told(receiver), told(receiver)]
        shop.pay(double, times=2)
        both = told(receiver)
        late = shop.pay(hidden, notify=False)["pix"][0]["endToEndId"]
        silent = receiver.silent()
        shop.sandbox.control("POST", "/pix/callbacks", {"pix": [late, both[0]["endToEndId"]], "together": False})
        after = {told(receiver)[0]["endToEndId"] for _ in range(2)}

        assert calls[0] == calls[1]
        assert calls[0][0]["valor"] == "58.79"
        assert len({entry["endToEndId"] for entry in both}) == 2
        assert silent
        assert after == {late, both[0]["endToEndId"]}

    def test_can_come_by_itself(self, shop: Business, receiver: Receiver) -> None:
        shop.listen(receiver.url)
        shop.sandbox.control("POST", "/pix/settings", {"pay_after_s": 0.1})

        txid = shop.charge()["txid"]

        assert told(receiver)[0]["txid"] == txid

    def test_of_an_expired_or_removed_charge_needs_force(self, shop: Business) -> None:
        expired, removed = shop.charge()["txid"], shop.charge()["txid"]
        control = f"{shop.sandbox.url}/control/pix/charges"

        shop.sandbox.control("POST", f"/pix/charges/{expired}/expire")
        shop.sandbox.control("POST", f"/pix/charges/{removed}/remove")

        assert shop.call("GET", f"/cob/{expired}").json()["status"] == "ATIVA"
        assert shop.call("GET", f"/cob/{removed}").json()["status"] == "REMOVIDA_PELO_PSP"
        assert [requests.post(f"{control}/{txid}/pay", timeout=5).status_code for txid in (expired, removed)] == [
            409,
            409,
        ]
        assert shop.pay(expired, force=True)["pix"]

    def test_an_expired_charge_is_no_older_than_it_was(self, shop: Business) -> None:
        made = shop.charge()

        shop.sandbox.control("POST", f"/pix/charges/{made['txid']}/expire")

        ended = shop.call("GET", f"/cob/{made['txid']}").json()["calendario"]
        assert ended["criacao"] == made["calendario"]["criacao"]
        assert datetime.fromisoformat(ended["criacao"]) + timedelta(seconds=ended["expiracao"]) <= datetime.now(UTC)

    def test_can_be_forged_with_a_foreign_key(self, shop: Business, other: Business, receiver: Receiver) -> None:
        shop.listen(receiver.url)

        shop.sandbox.control("POST", "/pix/callbacks/forged", {"to": shop.key, "pix": [{"chave": other.key}]})
        forged = told(receiver)[0]

        assert forged["chave"] == other.key
        assert kind_of(shop.call("GET", f"/pix/{forged['endToEndId']}")) == (404, "PixNaoEncontrado")


class TestRefund:
    def test_is_settled_told_and_made_once(self, shop: Business, receiver: Receiver) -> None:
        shop.listen(receiver.url)
        e2eid = shop.pay(shop.charge()["txid"], notify=False)["pix"][0]["endToEndId"]
        path = f"/pix/{e2eid}/devolucao/return1"

        first, again = (shop.call("PUT", path, {"valor": "20.00"}) for _ in range(2))
        returned = told(receiver)[0]["devolucoes"]

        assert (first.status_code, first.json()["status"]) == (201, "EM_PROCESSAMENTO")
        assert again.json()["rtrId"] == first.json()["rtrId"]
        assert [(entry["id"], entry["valor"], entry["status"]) for entry in returned] == [
            ("return1", "20.00", "DEVOLVIDO")
        ]
        assert shop.call("GET", path).json()["status"] == "DEVOLVIDO"

    def test_never_gives_back_more_than_came(self, shop: Business) -> None:
        e2eid = shop.pay(shop.charge()["txid"])["pix"][0]["endToEndId"]
        shop.call("PUT", f"/pix/{e2eid}/devolucao/one", {"valor": "58.79"})

        over = shop.call("PUT", f"/pix/{e2eid}/devolucao/two", {"valor": "0.02"})
        other_value = shop.call("PUT", f"/pix/{e2eid}/devolucao/one", {"valor": "0.01"})

        assert kind_of(over) == kind_of(other_value) == (400, "PixDevolucaoInvalida")
        assert shop.call("PUT", f"/pix/{e2eid}/devolucao/two", {"valor": "0.01"}).status_code == 201
        assert kind_of(shop.call("GET", f"/pix/{e2eid}/devolucao/three")) == (404, "PixDevolucaoNaoEncontrada")

    def test_can_fail_and_leaves_the_money_free(self, shop: Business) -> None:
        shop.sandbox.control("POST", "/pix/settings", {"refund_fails": True, "refund_after_s": 0})
        e2eid = shop.pay(shop.charge()["txid"])["pix"][0]["endToEndId"]
        path = f"/pix/{e2eid}/devolucao/one"
        shop.call("PUT", path, {"valor": "58.80"})

        deadline = time.monotonic() + 5
        while shop.call("GET", path).json()["status"] == "EM_PROCESSAMENTO" and time.monotonic() < deadline:
            time.sleep(0.02)

        assert shop.call("GET", path).json()["status"] == "NAO_REALIZADO"
        assert shop.call("PUT", f"/pix/{e2eid}/devolucao/two", {"valor": "58.80"}).status_code == 201


class TestWebhook:
    def test_is_kept_per_key_of_the_payee(self, shop: Business, other: Business) -> None:
        path, body = f"/webhook/{quote(shop.account['keys'][1])}", {"webhookUrl": "https://hooks.example.com/pix"}

        made = shop.call("PUT", path, body)

        assert shop.call("GET", path).json() == made.json()
        assert shop.call("GET", "/webhook", **around_now()).json()["webhooks"] == [made.json()]
        assert kind_of(other.call("PUT", path, body)) == (400, "WebhookOperacaoInvalida")
        assert kind_of(other.call("GET", path)) == (404, "WebhookNaoEncontrado")
        assert shop.call("DELETE", path).status_code == 204
        assert kind_of(shop.call("GET", path)) == (404, "WebhookNaoEncontrado")

    def test_is_repeated_until_somebody_answers(self, shop: Business, receiver: Receiver) -> None:
        shop.listen(receiver.url)
        receiver.statuses = [503]

        shop.pay(shop.charge()["txid"])

        assert told(receiver) == told(receiver)


class TestFault:
    def test_has_the_banks_bodies(self, shop: Business) -> None:
        plan = {"vendor": "pix", "operation": "GET /cob/{txid}", "times": 1}
        shop.sandbox.control("POST", "/faults", plan | {"kind": "500", "status": 503})
        shop.sandbox.control("POST", "/faults", plan | {"kind": "code", "code": "CobNaoEncontrado"})

        outage, gone = (shop.call("GET", f"/cob/{shop.charge()['txid']}") for _ in range(2))

        assert (outage.status_code, kind_of(gone)) == (503, (404, "CobNaoEncontrado"))


class TestCertificate:
    def test_opens_the_bank_over_tls(self, shop: Business, tmp_path: Path) -> None:
        bank = shop.over_tls(tmp_path)

        charge = bank.charge()

        assert bank.url.startswith("https://localhost:")
        assert bank.call("GET", f"/cob/{charge['txid']}").json() == charge
        assert bank.call("GET", f"/cob/{new_txid()}").status_code == 404

    def test_must_be_shown_and_be_alive(self, shop: Business, tmp_path: Path) -> None:
        bank, expired = shop.over_tls(tmp_path), shop.over_tls(tmp_path, days=-1)
        bank.certificate = None

        for caller in (bank, expired):
            with pytest.raises(requests.ConnectionError):
                caller.authorize()

    def test_must_be_of_the_banks_authority(self, shop: Business, tmp_path: Path) -> None:
        stale = shop.over_tls(tmp_path)
        shop.sandbox.control("POST", "/reset")
        bank = shop.over_tls(tmp_path)
        bank.certificate = stale.certificate

        with pytest.raises(requests.ConnectionError):
            bank.authorize()

    def test_must_be_the_clients_own(self, shop: Business, other: Business, tmp_path: Path) -> None:
        foreign = shop.over_tls(tmp_path, shown=other.account["id"])
        token = shop.over_tls(tmp_path).authorize().json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}

        assert foreign.authorize().json()["error"] == "invalid_client"
        assert kind_of(foreign.raw("GET", "/cob", headers=bearer, params=around_now())) == (401, "AcessoNegado")
        assert kind_of(shop.raw("GET", "/cob", headers=bearer, params=around_now())) == (401, "AcessoNegado")

    def test_may_be_demanded_over_plain_http_and_not_be_claimed(self, shop: Business) -> None:
        shop.sandbox.control("POST", "/pix/settings", {"require_certificate": True})
        claim = {"X-Sandbox-Client-Certificate": f"{shop.account['id']}:{'0' * 64}"}

        claimed = shop.raw(
            "POST", "/oauth/token", headers=claim, auth=(shop.account["id"], shop.account["secret"]),
            data={"grant_type": "client_credentials"},
        )  # fmt: skip

        assert shop.authorize().json()["error"] == claimed.json()["error"] == "invalid_client"

    def test_serves_again_after_a_restart(self, tmp_path: Path) -> None:
        port = free_port()
        process = start(tmp_path, port=port)
        bank = Business.number(Sandbox(url=f"http://127.0.0.1:{port}"), 0).over_tls(tmp_path)
        charge = bank.charge()
        process.terminate()
        process.wait(timeout=10)
        process = start(tmp_path, port=port)

        answer = bank.call("GET", f"/cob/{charge['txid']}")
        process.terminate()
        process.wait(timeout=10)

        assert answer.json() == charge

    def test_keeps_faults_and_the_log_of_calls(self, shop: Business, tmp_path: Path) -> None:
        bank = shop.over_tls(tmp_path)
        txid = bank.charge()["txid"]
        bank.sandbox.control("POST", "/faults", {"vendor": "pix", "kind": "reset"})

        with pytest.raises(requests.ConnectionError):
            bank.call("GET", f"/cob/{txid}")

        calls = bank.sandbox.control("GET", "/calls?vendor=pix")["calls"]
        assert bank.call("GET", f"/cob/{txid}").ok
        assert (calls[-1]["operation"], calls[-1]["fault"]) == ("GET /cob/{txid}", "reset")
