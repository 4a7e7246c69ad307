"""Every address of the broker, part by part. Apps' own addresses never come here (nginx knows them)."""

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("broker.api.urls")),  # first: it is asked most
    path("scim/v2/", include("broker.scim.urls")),
    path("", include("broker.health")),
    path("", include("accounts.urls")),
    path("", include("broker.console.urls")),
    path("", include("proxy.web.urls")),
]
handler400 = "broker.console.errors.bad_request"
handler403 = "broker.console.errors.forbidden"
handler404 = "broker.console.errors.not_found"
handler500 = "broker.console.errors.server_error"
