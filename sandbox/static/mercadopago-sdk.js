"use strict";
/* A stand-in for the vendor's script, version 2: secure fields, and the calls that a public key opens. */
(() => {
    const base = document.currentScript.src.replace(/\/js\/v2.*$/, "");
    const origin = new URL(base).origin;

    async function read(path, key, params = {}) {
        const query = new URLSearchParams({ public_key: key, ...params });
        const answer = await fetch(`${base}${path}?${query}`, { credentials: "omit" });
        if (!answer.ok) throw new Error(`the vendor refused: ${answer.status}`);
        return answer.json();
    }

    class Field {
        constructor(name, { placeholder = "" }, locale) {
            this.name = name;
            this.listeners = {};
            this.frame = document.createElement("iframe");
            this.frame.name = name;
            this.frame.title = name;
            const lang = locale.startsWith("pt") ? "pt-BR" : "en";
            this.frame.src = `${base}/secure-fields/${name}?${new URLSearchParams({ lang, placeholder })}`;
            addEventListener("message", (event) => {
                if (event.source !== this.frame.contentWindow || event.origin !== origin) return;
                this.listeners[event.data.event]?.(event.data);
            });
        }

        mount(id) {
            document.getElementById(id).append(this.frame);
            return this;
        }

        on(event, listener) {
            this.listeners[event] = listener;
            return this;
        }
    }

    class Fields {
        constructor(key, locale) {
            this.key = key;
            this.locale = locale;
            this.made = {};
        }

        create(name, options = {}) {
            this.made[name] = new Field(name, options, this.locale);
            return this.made[name];
        }

        async createCardToken(about) {
            const channel = new MessageChannel();
            const answered = new Promise((resolve) => {
                channel.port1.onmessage = (event) => resolve(event.data);
            });
            const number = this.made.cardNumber.frame.contentWindow;
            number.postMessage({ ask: "token", publicKey: this.key, about }, origin, [channel.port2]);
            const { ok, token } = await answered;
            if (!ok) throw token.cause;
            return token;
        }
    }

    window.MercadoPago = class {
        constructor(key, { locale = navigator.language } = {}) {
            this.key = key;
            this.fields = new Fields(key, locale);
        }

        getIdentificationTypes() {
            return read("/v1/identification_types", this.key);
        }

        async getPaymentMethods({ bin }) {
            const tables = await this.getInstallments({ amount: "100", bin });
            return { results: tables.map((table) => ({ id: table.payment_method_id, issuer: table.issuer })) };
        }

        getInstallments({ amount, bin }) {
            return read("/v1/payment_methods/installments", this.key, { amount, bin });
        }
    };
})();
