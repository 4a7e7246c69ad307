"""Static files under names with their content's hash, so that browsers may keep them for ever."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStatics(ManifestStaticFilesStorage):
    """Django's hashed storage; an unknown file is an error in development, never a broken page in production."""

    manifest_strict = False
    support_js_module_import_aggregation = True
