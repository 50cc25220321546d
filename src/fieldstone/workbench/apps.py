from django.apps import AppConfig


class WorkbenchConfig(AppConfig):
    name = "fieldstone.workbench"
    label = "fieldstone_workbench"
    verbose_name = "Fieldstone workbench"
