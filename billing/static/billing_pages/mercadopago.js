"use strict";
/*
 * Between the page and MercadoPago's script (SDK JS v2, secure fields). Number, expiry and code are typed into frames of
 * the vendor's; what reaches this page of a card is its first digits (for the installments) and a token, and what
 * reaches our server is the token.
 */
(() => {
    const form = document.getElementById("card-form");
    const message = document.getElementById("message");
    const button = form.querySelector("button");
    const installments = document.getElementById("installments");
    const documents = document.getElementById("document");
    const documentType = document.getElementById("document-type");
    const documentNumber = document.getElementById("document-number");
    const holder = document.getElementById("holder");
    const texts = form.dataset;
    const chosen = { bin: "", brand: "", issuer: "" };

    function say(text) {
        message.textContent = text;
        message.hidden = !text;
        if (text) message.focus();
    }

    function option(value, text) {
        const made = document.createElement("option");
        made.value = value;
        made.textContent = text;
        return made;
    }

    async function showDocuments(vendor) {
        let types = [];
        try {
            types = await vendor.getIdentificationTypes();
        } catch {
            types = []; // a country without documents answers so
        }
        documentType.replaceChildren(...types.map((type) => option(type.id, type.name)));
        documents.hidden = types.length === 0;
        documentNumber.required = types.length > 0;
    }

    async function showCard(vendor, bin) {
        Object.assign(chosen, { bin: bin || "", brand: "", issuer: "" });
        installments.disabled = true;
        if (!bin) return;
        const [methods, tables] = await Promise.all([
            vendor.getPaymentMethods({ bin }),
            vendor.getInstallments({ amount: texts.amount, bin, locale: document.documentElement.lang }),
        ]);
        if (chosen.bin !== bin) return; // another card was typed meanwhile
        const method = methods.results[0];
        if (!method) return say(texts.cardUnknown);
        const table = tables.find((found) => found.payment_method_id === method.id);
        chosen.brand = method.id;
        chosen.issuer = String(table?.issuer?.id ?? method.issuer?.id ?? "");
        const most = Number(texts.mostInstallments);
        const costs = (table?.payer_costs ?? []).filter((cost) => cost.installments <= most);
        if (costs.length) {
            installments.replaceChildren(...costs.map((cost) => option(cost.installments, cost.recommended_message)));
            installments.disabled = false;
        } else {
            installments.replaceChildren(option(1, "1"));
        }
    }

    async function makeToken(vendor) {
        const about = { cardholderName: holder.value.trim() };
        if (!documents.hidden) {
            about.identificationType = documentType.value;
            about.identificationNumber = documentNumber.value.replace(/[^0-9A-Za-z]/g, "");
        }
        return (await vendor.fields.createCardToken(about)).id;
    }

    async function send(token) {
        const body = {
            token,
            payment_method_id: chosen.brand,
            issuer_id: chosen.issuer,
            installments: Number(installments.value) || 1,
        };
        if (texts.needsDocument === "yes" && !documents.hidden) body.tax_id = documentNumber.value.trim();
        const answer = await fetch(`${location.pathname}?lang=${document.documentElement.lang}`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            credentials: "omit",
            body: JSON.stringify(body),
        });
        if (answer.status === 409) return location.reload();
        if (answer.status >= 500) return say(texts.failed);
        if (!answer.ok) return say(texts.refused);
        const said = await answer.json();
        return said.redirect_url ? location.assign(said.redirect_url) : say(said.message);
    }

    async function pay(vendor) {
        say("");
        if (!holder.value.trim() || (!documents.hidden && !documentNumber.value.trim())) return say(texts.missing);
        if (!chosen.brand) return say(chosen.bin ? texts.cardUnknown : texts.missing);
        let token = "";
        try {
            token = await makeToken(vendor);
        } catch {
            return say(texts.noToken);
        }
        try {
            await send(token);
        } catch {
            say(texts.failed);
        }
    }

    function begin() {
        document.getElementById("needs-script").hidden = true;
        if (typeof MercadoPago === "undefined") return say(texts.noScript);
        const locale = document.documentElement.lang === "pt-br" ? "pt-BR" : "en-US";
        const vendor = new MercadoPago(texts.publicKey, { locale });
        const number = vendor.fields.create("cardNumber", { placeholder: "" });
        number.on("binChange", ({ bin }) => showCard(vendor, bin).catch(() => say(texts.cardUnknown)));
        number.mount("card-number");
        vendor.fields.create("expirationDate", { placeholder: texts.expiryHint }).mount("card-expiry");
        vendor.fields.create("securityCode", { placeholder: "" }).mount("card-code");
        form.hidden = false;
        showDocuments(vendor);
        form.addEventListener("submit", async (event) => {
            event.preventDefault();
            if (button.disabled) return;
            button.disabled = true;
            try {
                await pay(vendor);
            } finally {
                button.disabled = false;
            }
        });
    }

    begin();
})();
