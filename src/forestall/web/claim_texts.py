"""What the pages of self-registration say, in English and Japanese; one key, two sentences."""

from collections.abc import Mapping

from forestall.web.texts import LANGUAGES

TEXTS: Mapping[str, tuple[str, str]] = {
    "mine_title": ("Whose is this machine?", "この端末の使用者はどなたですか"),
    "mine_why": (
        (
            "Nobody knows whose it is, so nobody can be told before something happens to it. Write your mail address: "
            "you get a mail with a link, and when you confirm there it is yours."
        ),
        (
            "使用者が登録されていないため、切り離しなどの前に連絡できません。メールアドレスを入力すると確認のリンクが届きます。"
            "リンク先で確認すると登録されます。"
        ),
    ),
    "mine_stranger": (
        "We do not know the machine that you come from. Open this page on the machine itself.",
        "接続元の端末を特定できません。対象の端末でこのページを開いてください。",
    ),
    "mine_managed": ("It is managed: nothing is to be done.", "管理対象の端末です。対応は不要です。"),
    "mine_owned": ("It has an owner. Nothing is to be done.", "使用者は登録済みです。対応は不要です。"),
    "address": ("Your mail address", "メールアドレス"),
    "send": ("Send me the link", "リンクを送る"),
    "became asked": (
        "A mail is on its way. Open its link and confirm there, within 7 days.",
        "メールを送信します。7日以内にリンクを開いて確認してください。",
    ),
    "became confirmed": (
        "Confirmed: mails about this machine go to you.",
        "登録しました。この端末に関するメールをお送りします。",
    ),
    "became no_address": (
        "Nothing was sent: that is no mail address of this company.",
        "送信しませんでした。社内のメールアドレスではありません。",
    ),
    "became owned": ("It has an owner meanwhile.", "すでに使用者が登録されています。"),
    "became too_many": (
        "Nothing was sent: enough was asked today. Try again tomorrow.",
        "送信しませんでした。本日の上限に達しました。明日お試しください。",
    ),
    "became unknown": (
        "Nothing was sent: this page works on machines that nobody manages, and only there.",
        "送信しませんでした。このページは管理対象外の端末でのみ使えます。",
    ),
    "became ended": ("This link has ended.", "このリンクは無効です。"),
    "confirm_title": ("Is this machine yours?", "この端末はあなたのものですか"),
    "confirm_why": (
        "Somebody at this machine gave your address. If it is not yours, do nothing.",
        "この端末であなたのアドレスが入力されました。心当たりがなければ、何もしないでください。",
    ),
    "confirm": ("Yes, it is mine", "はい、私の端末です"),
    "machine": ("machine", "端末"),
    "site": ("site", "拠点"),
    "gone": ("This link is not one of ours, or has ended.", "発行したリンクではないか、期限切れです。"),
    "nothing_changes": ("Opening this page changes nothing.", "このページを開いても何も変更されません。"),
}


def claim_texts(language: str) -> dict[str, str]:
    """Give all texts in one language."""
    column = LANGUAGES.index(language)
    return {key: pair[column] for key, pair in TEXTS.items()}
