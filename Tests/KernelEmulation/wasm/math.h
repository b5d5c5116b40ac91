#pragma once
float fmaf(float x, float y, float z);
