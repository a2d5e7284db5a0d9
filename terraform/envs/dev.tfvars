# The cheapest there is: everything scales to zero. `omni deploy --project … --env dev` reads this file.
environment = "dev"
region      = "europe-west4" # L4 and RTX PRO 6000 without an invitation
