"""Addresses of channels under /api/v1/channels/."""

from django.urls import URLPattern, path

from channels_app.api import accounts, messages, people

_CONVERSATION = "conversations/<str:conversation_id>/"
_ACCOUNT = "accounts/<str:integration_id>/"

urlpatterns: list[URLPattern] = [
    path("messages/", messages.MessagesView.as_view(), name="channel-messages"),
    path("messages/<str:message_id>/", messages.MessageView.as_view(), name="channel-message"),
    path("messages/<str:message_id>/media/", messages.MessageMediaView.as_view(), name="channel-message-media"),
    path("media/", messages.MediaView.as_view(), name="channel-media"),
    path("contacts/", people.ContactsView.as_view(), name="channel-contacts"),
    path("contacts/<str:contact_id>/", people.ContactView.as_view(), name="channel-contact"),
    path("conversations/", people.ConversationsView.as_view(), name="channel-conversations"),
    path(_CONVERSATION, people.ConversationView.as_view(), name="channel-conversation"),
    path(f"{_CONVERSATION}read/", people.ReadView.as_view(), name="channel-conversation-read"),
    path(f"{_CONVERSATION}typing/", people.TypingView.as_view(), name="channel-conversation-typing"),
    path(_ACCOUNT, accounts.AccountView.as_view(), name="channel-account"),
    path(f"{_ACCOUNT}profile/", accounts.ProfileView.as_view(), name="channel-profile"),
    path("templates/", accounts.TemplatesView.as_view(), name="channel-templates"),
    path("templates/<str:template_id>/", accounts.TemplateView.as_view(), name="channel-template"),
]
