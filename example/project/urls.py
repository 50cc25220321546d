from django.conf import settings
from django.urls import include, path, re_path
from django.views.static import serve

from fieldstone.workbench.security import block_content

urlpatterns = [
    path("", include("fieldstone.workbench.urls")),
    # What others have made, on our own host: it gets the sandbox of all that blocks send.
    re_path(r"^media/(?P<path>.+)$", block_content(serve), {"document_root": settings.MEDIA_ROOT}),
]

handler403 = "fieldstone.workbench.views.forbidden"
handler404 = "fieldstone.workbench.views.not_found"
handler500 = "fieldstone.workbench.views.server_error"
