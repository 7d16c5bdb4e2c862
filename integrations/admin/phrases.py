"""
Texts of services and specs that the admin shows in the person's language, listed so that makemessages collects them.

They are written in English where they arise, for the API shows them too; a text that is missing here is shown in
English. `tests/admin/test_languages.py` names what is missing.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

ERRORS = (
    _("The provider does not accept this credential."),
    _("Reconnect the account with a valid credential."),
    _("The integration is not ready for this."),
    _("Complete the integration's settings."),
    _("The provider does not know this object, or this account may not see it."),
    _("Check the id and that it belongs to the connected account."),
    _("The account or its credential lacks a permission."),
    _("Grant the permission at the provider, then test the connection again."),
    _("The call to the provider failed."),
    _("Try again; if it keeps failing, write to support with the request id."),
    _("The provider is down."),
    _("Nothing to do: the work is held until the provider is back."),
    _("The account's quota at the provider is used up."),
    _("Raise the limit or pay the open balance at the provider."),
    _("The provider limits how fast this account may call."),
    _("Nothing to do: the work is tried again when the limit allows."),
    _("The provider refused the request."),
    _("Correct the request; the same request will be refused again."),
    _("The signature of this webhook is not valid."),
    _("Sign the exact bytes of the body with the secret of this integration."),
    _("The provider did not answer properly."),
    _("Nothing to do: the work is tried again by itself."),
    _("The provider answered in a way we do not understand."),
)

FIELDS_AND_REMEDIES = (
    _("Access token"),
    _(
        "Permanent token of a system user with whatsapp_business_messaging and "
        "whatsapp_business_management (Meta business settings, System users). A token of the App "
        "Dashboard ends after about a day."
    ),
    _("App secret"),
    _(
        "Secret of the Meta app (App settings, Basic); it checks the signature of webhooks. Needed "
        "unless the app of this platform signs them."
    ),
    _("Verify token"),
    _("Text with which Meta proves itself when the webhook is registered; made for you when left empty."),
    _("Two-step pin"),
    _("Six digits; needed only to register the phone number."),
    _("Phone number id"),
    _("Id of the phone number, not the number itself (WhatsApp Manager, API setup)."),
    _("WhatsApp Business Account id"),
    _("Id of the account that owns the phone number (WhatsApp Manager, API setup)."),
    _("App id"),
    _("Id of the Meta app that the token and the secret belong to; with it the check sees more."),
    _("More than 24 hours have passed since this person wrote: send an approved template."),
    _("Meta holds marketing back for this person: wait at least 24 hours, earlier tries fail again."),
    _("This person cannot be reached, opted out, blocked the number or changed identity: stop sending there."),
    _("Meta paused or disabled this template or flow: improve it in WhatsApp Manager, then send again."),
    _("Create the template in this language, or use a name and language that are approved."),
    _("The file can no longer be fetched; ask the sender to send it again."),
    _("Send a file of a type and size that WhatsApp takes; the vendor's detail names them."),
    _("Give exactly the parameters that the approved template declares, in its format."),
    _("This kind of template needs the person's phone number; a user id is not enough."),
    _("Correct the field that the vendor's detail names; the same request is refused again."),
    _("Meta limits this number because people blocked or reported its messages: stop campaigns for now."),
    _("Too many registrations or pins were tried; the vendor's detail says when to try again."),
    _("Give the token whatsapp_business_messaging and whatsapp_business_management for this account."),
    _("Meta cannot charge this account: mend the payment method in WhatsApp Manager."),
    _("Register the phone number with its pin, then test the connection."),
    _("Wait until Meta approves the display name, or ask for another one in WhatsApp Manager."),
    _("Meta locked this account or its country: see Account quality in WhatsApp Manager and ask for review."),
    _("Check the id, and that the token of this connection may see the object."),
    _("Make a new access token at Meta and reconnect; this one ended, was revoked or is not complete."),
    _("Give the token the missing permission in the business settings of Meta, then test the connection."),
    _("Meta blocked this action for policy reasons: see the account quality page of Meta and ask for review."),
    _("This version of the Graph API has ended: the operator sets META_GRAPH_VERSION to a living one."),
    _("phone number, user id, profile name, messages and files"),
    _("to exchange messages with customers"),
    _("United States"),
    _("Messages sent"),
    _("Messages received"),
    _("Bytes of files moved"),
)

REFUSALS = (
    _("Some fields need another value."),
    _("Use true or false."),
    _("Use a text."),
    _("Control characters are not allowed."),
    _("Use a credential of the same account."),
    _("This account is connected already; reconnect that integration instead."),
    _("This account is connected already. Disconnect it where it is connected, then connect it here."),
    _("Only a disabled integration can be enabled."),
    _("This integration is disconnected; connect the account anew."),
    _("The body of this delivery is no longer kept; it cannot be replayed."),
    _("This delivery is being processed right now."),
    _("This person is a member already; change the role in the list of members."),
    _("This invitation was used already, taken back or is too old."),
    _("This invitation is for another address; log in with that one."),
    _("This address has an account already; log in with it."),
    _("Only owners make somebody an owner."),
    _("Only owners change or remove an owner."),
    _("This is the last owner: make somebody else an owner first."),
    _("This person is no member any more."),
    _("This key is revoked already."),
    _("The address cannot be used."),
    _("The invitation could not be mailed; nobody was invited. Try again later."),
    _("The mail server did not take the mail."),
    _("The key needs scopes that exist."),
    _("The organization cannot be created like this."),
    _(
        "This person has not written in the last 24 hours, so the channel takes no free message: send an approved "
        "template."
    ),
    _("The channel says that this person cannot be reached. Wait until they write, or use another channel."),
    _("This person asked for no more marketing. Send a utility template, or wait until they resume it."),
    _("Give a phone number with country code, such as +5511987654321, or a contact's id."),
    _("This integration cannot be used now. Its credential is no longer accepted: reconnect the account."),
    _("This integration cannot be used now. It is disabled: enable it first."),
    _("This integration cannot be used now. It is disconnected: connect the account again."),
)

REMEDIES = (
    _("Reconnect the account: its credential was destroyed."),
    _("Reconnect with a credential of the account that was connected here."),
    _("See the verdicts of the test."),
    _("Check that the webhook URL can be reached from the internet, then test the connection again."),
    _("Remove the old key in the provider's dashboard: it still works there."),
    _("Give the id and secret of the app that the access token was made for."),
    _("Give the secret of the app that the access token was made for, and that app's id."),
    _("Assign the WhatsApp Business Account with full control to the system user of this token."),
    _("Give a phone number id and the id of the WhatsApp Business Account that owns this number."),
    _("Send it again when the integration is healthy."),
)

WORDS = (
    _("Sends messages"),
    _("Manages templates"),
    _("Receives webhooks"),
    _("Can send"),
    _("Display phone number"),
    _("Quality"),
    _("Throughput"),
    _("Tier"),
    _("Name status"),
    _("Status"),
    _("Label"),
    _("Problems"),
    _("approved"),
    _("rejected"),
    _("paused"),
    _("pending"),
    _("image"),
    _("video"),
    _("audio"),
    _("document"),
    _("sticker"),
    _("location"),
    _("contacts"),
    _("interactive"),
    _("unsupported"),
    _("order"),
)

FRAME = (
    _("Filters"),
    _("Type to search"),
    _("Apply Filters"),
    _("Reset filters"),
    _("Clear all filters"),
    _("Select action"),
    _("Select action to run"),
    _("Select value"),
    _("Select record"),
    _("Run"),
    _("Run the selected action"),
    _("Dark"),
    _("Light"),
    _("System"),
    _("No data"),
    _("No results found"),
    _("This page yielded into no results. Create a new item or reset your filters."),
    _("Show counts"),
    _("Hide counts"),
    _("Return to site"),
    _("Toggle password visibility"),
    _("Choose file to upload"),
    _("Date from"),
    _("Date to"),
    _("True"),
    _("False"),
)
"""Words of Unfold's frame, which brings no Portuguese."""
