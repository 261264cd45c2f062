/* SPDX-License-Identifier: MIT */
#include "suite.h"

int main(int argc, char **argv)
{
	return conf_main(&conf_vhost_user, argc, argv);
}
