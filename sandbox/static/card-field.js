"use strict";
/* One field of a card, in a frame. The number's frame gathers its neighbors' values and makes the token. */
(() => {
    const input = document.getElementById("field");
    const name = input.dataset.name;
    const vendor = location.pathname.replace(/\/secure-fields\/.*$/, "");
    const BIN = 8;
    let bin = "";

    const digits = (text) => text.replace(/\D/g, "");
    const tell = (message) => parent.postMessage({ field: name, ...message }, "*");

    function neighbor(wanted) {
        for (let place = 0; place < parent.frames.length; place += 1) {
            try {
                const found = parent.frames[place].document.getElementById("field");
                if (found?.dataset.name === wanted) return found.value;
            } catch {
                continue; // a frame of somebody else's
            }
        }
        return "";
    }

    async function makeToken({ publicKey, about }) {
        const [month, year] = neighbor("expirationDate").split("/").map((part) => Number(digits(part)));
        const holder = { name: about.cardholderName };
        if (about.identificationType) {
            holder.identification = { type: about.identificationType, number: about.identificationNumber };
        }
        const answer = await fetch(`${vendor}/v1/card_tokens?public_key=${encodeURIComponent(publicKey)}`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({
                card_number: digits(input.value),
                expiration_month: month || 0,
                expiration_year: year < 100 ? 2000 + year : year || 0,
                security_code: digits(neighbor("securityCode")),
                cardholder: holder,
            }),
        });
        return { ok: answer.ok, token: await answer.json() };
    }

    addEventListener("message", async (event) => {
        if (event.source !== parent || event.data?.ask !== "token") return;
        event.ports[0].postMessage(await makeToken(event.data));
    });
    input.addEventListener("input", () => {
        if (name !== "cardNumber") return;
        const now = digits(input.value).length >= BIN ? digits(input.value).slice(0, BIN) : "";
        if (now !== bin) tell({ event: "binChange", bin: now || null });
        bin = now;
    });
    input.addEventListener("focus", () => tell({ event: "focus" }));
    input.addEventListener("blur", () => tell({ event: "blur" }));
    tell({ event: "ready" });
})();
