"use strict";
// The customer's phone: asks the sandbox every second what the chat looks like, and shows it.
(() => {
  const phone = document.getElementById("phone");
  const number = phone.dataset.number;
  const texts = JSON.parse(phone.dataset.texts);
  const list = document.getElementById("messages");
  const problem = document.getElementById("problem");
  const presence = document.getElementById("presence");
  const display = presence.textContent;
  const known = document.getElementById("known");
  const composer = document.getElementById("composer");
  const POLL_MS = 1000;
  const ARRIVED = ["delivered", "read", "played"];
  let customer = decodeURIComponent(location.hash.slice(1));
  let shown = "";

  function element(tag, { text = "", className = "", label = "" } = {}, ...children) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    if (label) made.setAttribute("aria-label", label);
    made.append(...children.filter(Boolean));
    return made;
  }

  async function call(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    try {
      const answer = await fetch(`/control/whatsapp/${path}`, options);
      const content = await answer.json();
      problem.textContent = answer.ok ? "" : `${texts.failed} ${content.error || ""}`;
      return answer.ok ? content : null;
    } catch {
      problem.textContent = texts.offline;
      return null;
    }
  }

  async function write(message) {
    await call(`customers/${encodeURIComponent(customer)}/messages`, { phone_number_id: number, ...message });
    await refresh();
  }

  // What a message of each type shows

  function file(tag, content, fallback) {
    if (!content.id) {
      return element("span", { text: content.link || fallback });
    }
    const address = `/phone/whatsapp/media/${encodeURIComponent(content.id)}`;
    if (tag === "a") {
      const link = element("a", { text: content.filename || fallback });
      link.href = address;
      return link;
    }
    const made = element(tag);
    made.src = address;
    if (tag === "img") {
      made.alt = content.caption || fallback;
      made.addEventListener("load", () => { list.scrollTop = list.scrollHeight; });
    }
    if (tag !== "img") made.controls = true;
    return made;
  }

  function withCaption(tag, key) {
    return (message) => [file(tag, message.content, texts[key]), message.content.caption && element("div", { text: message.content.caption })];
  }

  function choice(label, message) {
    const button = element("button", { text: label });
    button.type = "button";
    button.addEventListener("click", () => write(message));
    return button;
  }

  function rows(message, action) {
    const details = element("details", {}, element("summary", { text: action.button }));
    for (const section of action.sections) {
      if (section.title) details.append(element("div", { text: section.title, className: "head" }));
      for (const row of section.rows) {
        const label = row.description ? `${row.title} – ${row.description}` : row.title;
        details.append(choice(label, { type: "list_reply", list_reply: row, reply_to: message.id }));
      }
    }
    return [details];
  }

  const ACTIONS = {
    button: (message, action) => action.buttons.map((entry) =>
      choice(entry.reply.title, { type: "button_reply", button_reply: entry.reply, reply_to: message.id })),
    list: rows,
    cta_url: (message, action) => {
      const link = element("a", { text: action.parameters.display_text });
      link.href = action.parameters.url;
      link.rel = "noopener noreferrer";
      link.target = "_blank";
      return [link];
    },
    flow: (message, action) => [choice(action.parameters.flow_cta || texts.fill_form, {
      type: "flow_reply", answers: { flow_token: action.parameters.flow_token || "" }, reply_to: message.id,
    })],
    location_request_message: (message) => [choice(texts.share_location, { type: "location", reply_to: message.id })],
    request_contact_info: (message) => [choice(texts.share_number, {
      type: "shared_number", phone: customer, reply_to: message.id,
    })],
  };

  function interactive(message) {
    const content = message.content;
    if (message.direction === "incoming") {
      const reply = content[content.type] || {};
      return [element("span", { text: reply.title || reply.body || content.type })];
    }
    const header = content.header || {};
    const tags = { image: "img", video: "video", document: "a" };
    const actions = ACTIONS[content.type];
    return [
      header.type === "text" && element("div", { text: header.text, className: "head" }),
      tags[header.type] && file(tags[header.type], header[header.type], texts[header.type]),
      element("div", { text: (content.body || {}).text || content.type }),
      content.footer && element("div", { text: content.footer.text, className: "foot" }),
      actions && element("div", { className: "choices" }, ...actions(message, content.action)),
    ];
  }

  function template(message) {
    const view = message.content.shown;
    const buttons = view.buttons.map((button) => (button.type === "QUICK_REPLY"
      ? choice(button.text, { type: "button", button: { text: button.text, payload: button.value || button.text }, reply_to: message.id })
      : element("span", { text: button.text || button.type })));
    return [
      view.header && element("div", { text: view.header, className: "head" }),
      element("div", { text: view.body }),
      view.footer && element("div", { text: view.footer, className: "foot" }),
      buttons.length > 0 && element("div", { className: "choices" }, ...buttons),
    ];
  }

  function place(message) {
    const { name, address, latitude, longitude } = message.content;
    return [element("span", { text: ["📍", name, address, `${latitude}, ${longitude}`].filter(Boolean).join("\n") })];
  }

  function people(message) {
    return message.content.map((person) => element("div", {
      text: `👤 ${(person.name || {}).formatted_name || ""} ${((person.phones || [])[0] || {}).phone || ""}`,
    }));
  }

  const VIEWS = {
    text: (message) => [element("span", { text: message.content.body })],
    image: withCaption("img", "image"),
    sticker: withCaption("img", "sticker"),
    audio: withCaption("audio", "audio"),
    video: withCaption("video", "video"),
    document: withCaption("a", "document"),
    location: place,
    contacts: people,
    interactive,
    template,
    button: (message) => [element("span", { text: message.content.text })],
  };

  // The chat

  function ticks(message) {
    const read = message.status === "read" || message.status === "played";
    const label = read ? texts.read : texts.sent;
    return element("span", { text: read ? "✓✓" : "✓", className: read ? "seen" : "", label });
  }

  function meta(message) {
    const time = new Date(message.at * 1000).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    const line = element("div", { className: "meta" }, element("span", { text: time }));
    if (message.direction === "incoming") {
      line.append(ticks(message));
    } else {
      const react = element("button", { text: "☺", label: texts.react });
      react.type = "button";
      react.addEventListener("click", () => write({ type: "reaction", reaction: { message_id: message.id, emoji: "👍" } }));
      line.append(react);
    }
    return line;
  }

  function bubble(message, byId, reactions) {
    const made = element("li", { className: message.direction === "incoming" ? "bubble mine" : "bubble" });
    const quoted = byId.get(message.context);
    if (quoted) made.append(element("div", { className: "quote", text: summary(quoted) }));
    const view = VIEWS[message.type];
    made.append(...(view ? view(message).filter(Boolean) : [element("span", { text: message.type })]));
    if (reactions.length) made.append(element("div", { className: "reactions", text: reactions.join(" ") }));
    made.append(meta(message));
    return made;
  }

  function summary(message) {
    const content = message.content;
    return content.body && content.body.text ? content.body.text : content.body || (content.shown || {}).body || texts[message.type] || message.type;
  }

  function render(chat) {
    const visible = chat.messages.filter((message) => message.direction === "incoming" || ARRIVED.includes(message.status));
    const byId = new Map(visible.map((message) => [message.id, message]));
    const reactions = new Map();
    for (const message of visible.filter((entry) => entry.type === "reaction")) {
      const target = message.content.message_id;
      const own = reactions.get(target) || new Map();
      own.set(message.direction, message.content.emoji || "");
      reactions.set(target, own);
    }
    const bubbles = visible.filter((message) => message.type !== "reaction").map((message) =>
      bubble(message, byId, [...(reactions.get(message.id) || new Map()).values()].filter(Boolean)));
    list.replaceChildren(...(bubbles.length ? bubbles : [element("li", { className: "note", text: texts.empty })]));
    list.scrollTop = list.scrollHeight;
    document.getElementById("who-name").textContent = `${chat.customer.name} (${chat.customer.phone || chat.customer.username})`;
    return visible.some((message) => message.direction === "outgoing" && message.status === "delivered");
  }

  async function refresh() {
    if (!customer) {
      list.replaceChildren(element("li", { className: "note", text: texts.nobody }));
      return;
    }
    const chat = await call(`customers/${encodeURIComponent(customer)}/messages?phone_number_id=${number}`);
    if (!chat) return;
    presence.textContent = chat.typing ? texts.typing : display;
    const state = JSON.stringify(chat.messages) + customer;
    if (state === shown) return;
    shown = state;
    const unread = render(chat);
    if (unread && document.visibilityState === "visible") {
      await call(`customers/${encodeURIComponent(customer)}/read`, { phone_number_id: number });
    }
  }

  async function listCustomers() {
    const found = await call(`phones/${number}/customers`);
    if (!found) return;
    known.replaceChildren(element("option"), ...found.customers.map((entry) => {
      const option = element("option", { text: `${entry.name} (${entry.phone || entry.username})` });
      option.value = entry.id;
      option.selected = entry.id === customer;
      return option;
    }));
  }

  async function choose(key) {
    customer = key;
    shown = "";
    location.hash = encodeURIComponent(key);
    document.getElementById("who").open = false;
    keepCustomer();
    await refresh();
  }

  function keepCustomer() {
    document.querySelector("a.language").hash = location.hash;
  }

  async function poll() {
    if (document.visibilityState === "visible") await refresh();
    setTimeout(poll, POLL_MS);
  }

  known.addEventListener("change", () => { if (known.value) choose(known.value); });
  document.getElementById("customer-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = new FormData(event.target);
    const name = values.get("name").trim();
    const found = await call(`customers/${encodeURIComponent(values.get("number").trim())}`, name ? { name } : {});
    if (found) await choose(found.id);
  });
  composer.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = document.getElementById("text");
    const text = field.value.trim();
    if (!text || !customer) return;
    field.value = "";
    await write({ type: "text", text });
    await listCustomers();
  });
  for (const button of composer.querySelectorAll("[data-kind]")) {
    button.addEventListener("click", async () => {
      composer.querySelector("details").open = false;
      if (customer) await write({ type: button.dataset.kind });
    });
  }
  keepCustomer();
  if (customer) document.getElementById("who").open = false;
  listCustomers();
  poll();
})();
