"""The addresses of the SCIM door, all of them behind a client's token."""

from __future__ import annotations

from django.urls import path, re_path

from broker.scim import schemas, views
from broker.scim.door import door

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

urlpatterns = [
    path("Users", door(GET=views.list_users, POST=views.create_user)),
    path(
        "Users/<str:ident>",
        door(GET=views.read_user, PUT=views.replace_user, PATCH=views.patch_user, DELETE=views.delete_user),
    ),
    path("Groups", door(GET=views.list_groups, POST=views.create_group)),
    path(
        "Groups/<str:ident>",
        door(GET=views.read_group, PUT=views.replace_group, PATCH=views.patch_group, DELETE=views.delete_group),
    ),
    path("ServiceProviderConfig", door(GET=schemas.configuration)),
    path("ResourceTypes", door(GET=schemas.resource_types)),
    path("ResourceTypes/<str:name>", door(GET=schemas.resource_type)),
    path("Schemas", door(GET=schemas.schemas)),
    path("Schemas/<str:name>", door(GET=schemas.schema)),
    *(path(name, door(**dict.fromkeys(METHODS, schemas.unsupported))) for name in ("Bulk", "Me", ".search")),
    re_path(r"^(?:.*)$", door(**dict.fromkeys(METHODS, schemas.unknown))),
]
