#pragma once
// The one door to the kernel's headers and to the system calls that Swift can't call by itself.
#include <netinet/in.h>
