"""Where the pages of jobs are, on a site that has jobs."""

from django.urls import path

from fieldstone.workbench import jobs

urlpatterns = [
    path("", jobs.board, name="jobs"),
    path("live/", jobs.board_live, name="jobs_live"),
    path("<int:number>/", jobs.job, name="job"),
    path("<int:number>/live/", jobs.live, name="job_live"),
    path("<int:number>/report.<str:name>", jobs.report_file, name="job_report"),
    path("<int:number>/<str:action>/", jobs.act, name="job_act"),
]
