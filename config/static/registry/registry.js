// What our pages do beyond plain forms. Everything works without it; it only saves a reload.
"use strict";

(function () {
    function ready(start) {
        if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
        else start();
    }

    function element(tag, className, text) {
        const made = document.createElement(tag);
        if (className) made.className = className;
        if (text) made.textContent = text;
        return made;
    }

    function icon(name, className) {
        return element("span", "material-symbols-outlined " + (className || ""), name);
    }

    // Copy buttons: <button data-copy="#id-of-text" data-done="Copied">
    function copyButtons() {
        document.querySelectorAll("[data-copy]").forEach(function (button) {
            button.addEventListener("click", async function () {
                const text = document.querySelector(button.dataset.copy).textContent.trim();
                await navigator.clipboard.writeText(text);
                const before = button.textContent;
                button.textContent = button.dataset.done;
                setTimeout(function () { button.textContent = before; }, 1500);
            });
        });
    }

    // "Test connection": posts the form and puts the answer under it.
    function testButton() {
        const form = document.getElementById("test-form");
        if (!form) return;
        form.addEventListener("submit", async function (event) {
            event.preventDefault();
            const button = form.querySelector("button");
            const place = document.getElementById("test-answer");
            button.disabled = true;
            place.replaceChildren(element("p", "rg-note rg-note-info", form.dataset.waiting));
            try {
                const response = await fetch(form.action, {
                    method: "POST",
                    headers: { Accept: "application/json" },
                    body: new FormData(form),
                });
                if (!response.ok) throw new Error(String(response.status));
                showTest(place, await response.json(), form.dataset);
            } catch (error) {
                place.replaceChildren(element("p", "rg-note rg-note-error", form.dataset.broken));
            }
            button.disabled = false;
        });
    }

    function showTest(place, answer, texts) {
        const note = element("p", "rg-note rg-note-" + (answer.success ? "success" : "error"), answer.summary);
        note.dataset.success = String(answer.success);
        const list = element("ul", "rg-verdicts");
        answer.verdicts.forEach(function (verdict) {
            const line = element("li");
            line.append(icon(verdict.ok ? "check_circle" : "cancel", verdict.ok ? "rg-yes" : "rg-no"));
            const words = element("div", "", verdict.capability);
            if (verdict.detail) words.append(element("div", "rg-subtle rg-small", verdict.detail));
            line.append(words);
            list.append(line);
        });
        const took = element("p", "rg-subtle rg-small", texts.took.replace("{ms}", Math.round(answer.duration_ms)));
        place.replaceChildren(note, list, took);
        document.querySelectorAll("[data-health]").forEach(function (badge) {
            badge.textContent = answer.health.label;
            const tone = { healthy: "good", degraded: "warn", failing: "bad" }[answer.health.key] || "muted";
            badge.className = "rg-badge rg-" + tone;
        });
    }

    // Creation of an organization: asks every second until it is open.
    function progress() {
        const bar = document.getElementById("creation");
        if (!bar) return;
        const timer = setInterval(async function () {
            const response = await fetch(bar.dataset.url, { headers: { Accept: "application/json" } });
            if (!response.ok) return;
            const state = await response.json();
            bar.querySelector(".rg-progress > div").style.width = state.progress + "%";
            bar.querySelector("[data-percent]").textContent = state.progress + " %";
            if (state.is_done || state.failure) {
                clearInterval(timer);
                window.location.reload();
            }
        }, 1000);
        if (bar.dataset.failed) clearInterval(timer);
    }

    // A conversation: new and changed bubbles come every two seconds as HTML made by the same template.
    function conversation() {
        const log = document.getElementById("chat-log");
        if (!log) return;
        log.scrollTop = log.scrollHeight;
        setInterval(function () { refresh(log); }, 2000);
        const form = document.getElementById("composer");
        if (form) composer(form, log);
    }

    async function refresh(log) {
        if (document.hidden || log.dataset.busy) return;
        log.dataset.busy = "1";
        try {
            const response = await fetch(log.dataset.url, { headers: { Accept: "application/json" } });
            if (response.ok) takeOver(log, await response.json());
        } catch (error) {
            // The network is away: the next round asks again.
        }
        delete log.dataset.busy;
    }

    function takeOver(log, answer) {
        if (answer.version === log.dataset.version) return;
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
        log.innerHTML = answer.html;
        log.dataset.version = answer.version;
        if (atEnd) log.scrollTop = log.scrollHeight;
        if (String(answer.window_open) !== log.dataset.windowOpen) window.location.reload();
    }

    function composer(form, log) {
        const text = form.querySelector("textarea");
        if (!text) return;
        text.addEventListener("keydown", function (event) {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                if (text.value.trim()) form.requestSubmit();
            }
        });
        form.addEventListener("submit", async function (event) {
            event.preventDefault();
            const place = document.getElementById("composer-error");
            place.replaceChildren();
            const response = await fetch(form.action, {
                method: "POST",
                headers: { Accept: "application/json" },
                body: new FormData(form),
            });
            const answer = await response.json();
            if (!response.ok) {
                place.replaceChildren(element("p", "rg-note rg-note-error", answer.detail));
                return;
            }
            text.value = "";
            log.scrollTop = log.scrollHeight;
            await refresh(log);
            log.scrollTop = log.scrollHeight;
        });
    }

    // The template picker shows the chosen template's fields only.
    function templatePicker() {
        const picker = document.getElementById("template-picker");
        if (!picker) return;
        const show = function () {
            document.querySelectorAll("[data-template]").forEach(function (part) {
                const isChosen = part.dataset.template === picker.value;
                part.hidden = !isChosen;
                part.querySelectorAll("input").forEach(function (input) { input.disabled = !isChosen; });
            });
        };
        picker.addEventListener("change", show);
        show();
    }

    // Times are shown in the person's own zone: the server reads it from this cookie.
    function keepZone() {
        const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
        if (zone) document.cookie = "tz=" + zone + "; path=/; SameSite=Lax; max-age=31536000";
    }

    ready(function () {
        keepZone();
        copyButtons();
        testButton();
        progress();
        conversation();
        templatePicker();
    });
})();
