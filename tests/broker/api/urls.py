"""The API's addresses alone, where they are in the whole."""

from django.urls import include, path

urlpatterns = [path("api/v1/", include("broker.api.urls"))]
