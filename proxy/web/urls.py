"""Addresses around apps. Those under `_postern/` are nginx's, which reaches them on apps' hosts only."""

from django.urls import path

from proxy.web import app_views, views

urlpatterns = [
    path(".well-known/jwks.json", views.jwks, name="jwks"),
    path("launch/<slug:name>", views.launch, name="launch"),
    path("_postern/callback", app_views.callback),
    path("_postern/sign-out", app_views.sign_out),
    path("_postern/denied", app_views.denied),
    path("_postern/unavailable", app_views.unavailable),
    path("_postern/unreachable", app_views.unreachable),
]
