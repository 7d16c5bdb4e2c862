// What the pages of billing do beyond plain forms. Everything works without it; it only saves a reload or a click.
"use strict";

(function () {
    const EVERY_MS = 2000;

    // A payment that is not over: asks whether anything changed, and shows the page anew when it did.
    function watch(place) {
        if (place.dataset.over === "true") return;
        const timer = setInterval(async function () {
            if (document.hidden || place.dataset.busy) return;
            place.dataset.busy = "1";
            try {
                const response = await fetch(place.dataset.url, { headers: { Accept: "application/json" } });
                if (response.status === 403 || response.status === 404) clearInterval(timer);
                if (response.ok && (await response.json()).version !== place.dataset.version) {
                    clearInterval(timer);
                    window.location.reload();
                }
            } catch (error) {
                // The network is away: the next round asks again.
            }
            delete place.dataset.busy;
        }, EVERY_MS);
    }

    // A form that moves money: the button is pressed once. The server counts on its token, not on this.
    function once(form) {
        form.addEventListener("submit", function () {
            form.querySelectorAll("button").forEach(function (button) { button.disabled = true; });
        });
    }

    const live = document.getElementById("payment-live");
    if (live) watch(live);
    document.querySelectorAll("form[data-once]").forEach(once);
    document.querySelectorAll("[data-print]").forEach(function (button) {
        button.addEventListener("click", function () { window.print(); });
    });
})();
