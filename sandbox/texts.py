"""The words of the pages, in English and Brazilian Portuguese."""

from __future__ import annotations

from werkzeug.datastructures import LanguageAccept
from werkzeug.wrappers import Request

LANGUAGES = ("en", "pt-BR")

# key: (English, Brazilian Portuguese)
TEXTS: dict[str, tuple[str, str]] = {
    "sandbox": ("Sandbox", "Sandbox"),
    "sandbox_lead": (
        "Strict stand-ins of vendors for development. Nothing here leaves this machine.",
        "Substitutos rigorosos dos fornecedores para desenvolvimento. Nada aqui sai desta máquina.",
    ),
    "vendors": ("Vendors", "Fornecedores"),
    "base_address": ("Base address", "Endereço base"),
    "phone_pages": ("Phones", "Telefones"),
    "open_phone": ("Open the phone of a customer", "Abrir o telefone de um cliente"),
    "faults": ("Faults", "Falhas"),
    "faults_lead": (
        "The next calls to a vendor fail in the way you choose.",
        "As próximas chamadas a um fornecedor falham do modo que você escolher.",
    ),
    "vendor": ("Vendor", "Fornecedor"),
    "kind": ("Kind", "Tipo"),
    "times": ("Times", "Vezes"),
    "operation": ("Operation (optional)", "Operação (opcional)"),
    "plan": ("Plan the fault", "Programar a falha"),
    "heal": ("Heal everything", "Remover todas"),
    "planned": ("Planned", "Programadas"),
    "none_planned": ("No fault is planned.", "Nenhuma falha programada."),
    "businesses": ("Businesses", "Empresas"),
    "choose_business": ("Choose whom the customer writes to.", "Escolha para quem o cliente escreve."),
    "customer": ("Customer", "Cliente"),
    "known_customers": ("Known customers", "Clientes conhecidos"),
    "new_customer": ("New customer", "Novo cliente"),
    "number": ("Phone number", "Número de telefone"),
    "name": ("Name", "Nome"),
    "open_chat": ("Open the chat", "Abrir a conversa"),
    "message": ("Message", "Mensagem"),
    "send": ("Send", "Enviar"),
    "attach": ("Send something else", "Enviar outra coisa"),
    "image": ("Picture", "Imagem"),
    "audio": ("Voice note", "Mensagem de voz"),
    "document": ("Document", "Documento"),
    "video": ("Video", "Vídeo"),
    "sticker": ("Sticker", "Figurinha"),
    "location": ("Location", "Localização"),
    "contacts": ("Contact", "Contato"),
    "conversation": ("Conversation", "Conversa"),
    "nobody": ("Choose a customer to start.", "Escolha um cliente para começar."),
    "empty": ("No messages yet. Write the first one.", "Ainda não há mensagens. Escreva a primeira."),
    "typing": ("typing…", "digitando…"),
    "react": ("React", "Reagir"),
    "choose": ("Choose", "Escolher"),
    "sent": ("sent", "enviada"),
    "delivered": ("delivered", "entregue"),
    "read": ("read", "lida"),
    "failed": ("The message could not be sent.", "Não foi possível enviar a mensagem."),
    "offline": ("The sandbox does not answer.", "O sandbox não responde."),
    "share_location": ("Share my location", "Compartilhar minha localização"),
    "share_number": ("Share my number", "Compartilhar meu número"),
    "fill_form": ("Answer the form", "Responder ao formulário"),
    "you": ("You", "Você"),
    "back": ("All businesses", "Todas as empresas"),
    "language": ("Português", "English"),
}


def language_of(request: Request) -> str:
    """Return the language of a page: ?lang= first, then what the browser prefers."""
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        return asked
    accepted: LanguageAccept = request.accept_languages
    return "pt-BR" if str(accepted.best_match(["en", "pt-BR", "pt"]) or "en").startswith("pt") else "en"


def texts_of(language: str) -> dict[str, str]:
    """Return all texts in one language."""
    position = LANGUAGES.index(language)
    return {key: pair[position] for key, pair in TEXTS.items()}
